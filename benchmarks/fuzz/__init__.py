"""Requests made from the OpenAPI document of a running service, right and wrong ones, every answer checked.

`python -m benchmarks.fuzz` starts a service with everything that it needs, or takes a running one (`--url`);
`campaign.py` is what others call. schemathesis makes the requests: it reads the document that the service
publishes, so what is documented is what is tested.
"""
