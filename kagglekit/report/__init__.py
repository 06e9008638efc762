"""The page that shows what a run learned: computed by `panels` and `curves`, drawn by `svg`, written by `page`."""
