"""`make load`: an open-loop load generator that uses a running stack as its customers and sellers do."""
