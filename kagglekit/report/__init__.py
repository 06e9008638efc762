"""A run's report.html: `panels` and `curves` compute it, `svg` draws it, `page` writes it."""
