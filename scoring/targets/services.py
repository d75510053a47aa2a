"""Served models on ACI and AKS, as the services stack of an environment declares them."""
