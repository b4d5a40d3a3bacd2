"""Looking at runs and prompts: curves, nearest tokens, the page that shows it all."""
