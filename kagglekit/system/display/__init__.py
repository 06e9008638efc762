"""What a command shows: lines, tables, bars and errors, on terminals, in pipes and in notebooks."""
