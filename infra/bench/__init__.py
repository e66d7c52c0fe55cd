"""Measures the speed of the line on private servers, beside what the machine could do at best and a naive rival."""
