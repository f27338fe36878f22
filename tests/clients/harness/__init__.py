"""What the client tests share: a service under test, a signed API client, and what may be
left behind. Standard library only, so that the benchmarks use it without a virtual
environment."""
