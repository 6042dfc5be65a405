"""Sentences that lead a reader into a wrong reading until their last word: garden paths.

After "While the man hunted the deer" the deer seems to be what he hunted; "ran" shows that it is not. A
comma after the verb prevents the wrong reading. Each sentence is (clause, noun phrase, verb): joined by
blanks it misleads, with a comma after the clause it does not.
"""

GARDEN_PATHS = (
    ("While the man hunted", "the deer", "ran"),
    ("While Anna dressed", "the baby", "played"),
    ("While the boys ate", "the pizza", "got"),
    ("When the dog scratched", "the vet", "took"),
    ("While the girl painted", "the fence", "fell"),
    ("As the couple danced", "the tango", "began"),
    ("After the army invaded", "the town", "was"),
    ("While the cook stirred", "the soup", "boiled"),
    ("When the sailors drank", "the rum", "was"),
    ("While the students read", "the book", "fell"),
    ("Because the class watched", "the film", "was"),
    ("As the woman edited", "the text", "amused"),
)
