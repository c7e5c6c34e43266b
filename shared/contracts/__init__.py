"""The contracts of what passes between services and stays in databases: no input or output."""
