"""Where notices go: exchanges, webhooks and files."""
