"""A stand-in for Azure over loopback: Resource Manager, Azure ML, the login and, through Azurite, blobs.

Clients keep their real host names: `HTTPS_PROXY` leads them to a CONNECT proxy (wire) that ends TLS with one
certificate from trustme and answers for those hosts (service, routes, jobs); blob hosts go on to Azurite (blobs). Any
other host is refused and noted. Bodies are checked against the published ARM schemas, and API versions against what
is known to work.
"""
