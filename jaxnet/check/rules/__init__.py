"""Parts of the optimizer doctor: problems, the rule examined, the rules as equations, the search.

problems records starts and gradients, subject runs the user's rule on them and reference the
zoo's; equations_*.py have the rules in NumPy with named alterations, alterations says what each
is called, and diagnosis looks for the one that the user's rule has.
"""
