"""Services wrapped from outside with faults; the product itself has no switch for any of this."""
