"""Reports: text about a study, for a terminal or a file. Nothing here prints or writes."""
