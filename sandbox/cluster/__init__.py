"""The sandbox's cluster seen by its clients: the real control plane, a client for any API server, certificates, accounts."""
