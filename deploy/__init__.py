"""How Parley is put on machines; the services themselves never import it."""
