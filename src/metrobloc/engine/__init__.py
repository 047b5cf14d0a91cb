"""What drives the kernel: one durable process, and later a cluster."""
