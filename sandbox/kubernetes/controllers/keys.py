"""Group and plural of the kinds that controllers know."""

PODS, NODES, NAMESPACES, EVENTS = ("", "pods"), ("", "nodes"), ("", "namespaces"), ("", "events")
CLAIMS, ACCOUNTS, SECRETS = ("", "persistentvolumeclaims"), ("", "serviceaccounts"), ("", "secrets")
DEPLOYMENTS, REPLICA_SETS = ("apps", "deployments"), ("apps", "replicasets")
STATEFUL_SETS, DAEMON_SETS = ("apps", "statefulsets"), ("apps", "daemonsets")
REVISIONS, JOBS, CRON_JOBS = ("apps", "controllerrevisions"), ("batch", "jobs"), ("batch", "cronjobs")
CONFIG_MAPS, LEASES = ("", "configmaps"), ("coordination.k8s.io", "leases")
ROLES = ("rbac.authorization.k8s.io", "clusterroles")
API_SERVICES, SERVICES = ("apiregistration.k8s.io", "apiservices"), ("", "services")
DEFINITIONS = ("apiextensions.k8s.io", "customresourcedefinitions")
