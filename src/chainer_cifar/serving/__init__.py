"""A trained net as a web page and an endpoint on this machine."""
