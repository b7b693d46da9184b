"""Figures from plain records, as pieces of HTML: for the report, the dashboard and notebooks.

Every function takes numbers and words and returns text. What it was given is escaped. The pieces need
`look.css` and, for pointing at a plot, `look.js`; both are in `look.py`. Positions are shares of the plot, so
that a figure fits a phone as well as a sheet of paper, with letters of one size.
"""
