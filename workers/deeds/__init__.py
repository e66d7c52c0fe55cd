"""Deeds: what a person can have done that another may have to grant; each happens whole, or waits as a request."""
