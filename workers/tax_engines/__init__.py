"""Tax engines behind one protocol, one file each."""
