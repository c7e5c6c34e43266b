"""What an operator does by hand: look at dead letters and replay them, trace a message, rebuild, audit."""
