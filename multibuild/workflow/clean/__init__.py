"""What removes what runs left: in the state directory, on builders, in registries."""
