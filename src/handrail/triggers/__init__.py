"""What starts workflows: due times of schedules, and events from outside."""
