"""What the book proves with: functions compared, properties asked for, loops that stray."""
