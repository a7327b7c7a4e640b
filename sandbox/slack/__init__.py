"""The sandbox's Slack: takes messages and shows them."""
