"""Talk to Kaggle and to other file hosts: credentials, downloads, submissions, leaderboards."""
