"""What `kagglekit look` shows."""
