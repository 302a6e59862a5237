"""What happened: events, the journal that holds them, and the directories of runs."""
