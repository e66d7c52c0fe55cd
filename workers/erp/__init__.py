"""ERP adapters behind one protocol, one file each."""
