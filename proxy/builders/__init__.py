"""Programs that build images: run as they are, and their images taken out of their stores."""
