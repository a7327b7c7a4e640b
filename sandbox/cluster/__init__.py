"""The sandbox's cluster from outside: the real control plane, a client for any API server, certificates, accounts."""
