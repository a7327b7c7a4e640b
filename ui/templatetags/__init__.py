"""Template tags of the portal: `ui` is loaded in every template."""
