"""A simulated Kubernetes control plane: an API server and its controllers in one small program, without nodes.

It answers as the real one does wherever the portal, the official client or `kubectl` can tell, and serves the same
played nodes (`sandbox/node/`). What it leaves out is listed in `docs/sandbox.md`. From the wire inwards:

    __main__                  HTTP over TLS: a request comes in, an answer or a stream goes out
    requests, routes          the meaning of path and method
    access, faults            rights by role; faults that demonstrations order
    bodies                    checks a body against its type; applies replacements and patches
    operations, subresources  create, update, apply, delete: the rules that hold for all kinds; scale, tokens, logs
    fields, apply             field managers and merging, by the types of `schema`
    defaults, validation      values that the server fills in, and values that it refuses, kind by kind
    store, journal, watching  objects with their versions, the file that keeps them, watches of changes
    controllers/              deployments, jobs, scheduling, garbage collection

Everything runs on one event loop and no step of it waits while it holds something half done, so there are no locks.
Objects are plain dicts that are never changed once stored; a change stores a new one.
"""

READY_LINE = "the simulated control plane is ready"
VERSION = "v1.37.2"  # whose behaviour is simulated
