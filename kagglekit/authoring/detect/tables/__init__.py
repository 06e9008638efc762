"""Find the CSV or JSON file that labels the images of an unknown data folder."""
