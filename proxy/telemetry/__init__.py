"""What happened, told to people and machines: logs, later metrics."""
