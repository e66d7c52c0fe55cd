"""Price models, one file each."""
