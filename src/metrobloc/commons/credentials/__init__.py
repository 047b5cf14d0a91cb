"""What an accredited institution states about somebody: anchored without being shown, and revocable."""
