"""What every application's tests call."""
