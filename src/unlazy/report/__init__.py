"""What was found: Records, figures and the page."""
