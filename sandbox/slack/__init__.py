"""Slack's other end: takes messages and shows them."""
