"""The sandbox's GitHub: takes commit statuses and deployments, and tells the portal of pushes."""
