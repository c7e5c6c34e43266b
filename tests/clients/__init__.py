"""Other people's tools on the generated documents, and two clients that they make."""
