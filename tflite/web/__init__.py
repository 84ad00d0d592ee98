"""A page that classifies photographs in the browser, and the server for it."""
