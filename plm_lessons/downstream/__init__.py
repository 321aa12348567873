"""Labelled tasks to fine-tune a model on, made from the text that ships with the package. Nothing is downloaded.

| task | an example, and what is asked | train | validation | held out |
|---|---|--:|--:|--:|
| `topics` | the opening of an article: which of eleven topics? | 7,096 | 744 | 826 |
| `sentiment` | a sentence of a film review: negative or positive? | 6,941 | 752 | 835 |
| `pairs` | a description and an opening: of the same article? | 13,956 | 1,448 | 1,612 |
| `capitals` | an opening in lower case: which words had capitals? | 7,883 | 824 | 927 |
| `questions` | a description and four first sentences: which title is described? | 2,627 | 293 | 307 |

Classes. The largest topic, people, makes up a fifth of `topics`; the smallest, mathematics, a thirty-fifth. `sentiment`
and `pairs` are balanced. Of the words of `capitals`, 83 % are in lower case, 17 % begin with a capital, and 1 % are in
upper or mixed case. In `questions` the answer is about as often in each of the four sentences.

Splits. An article (or review) is in only one of them, and so is everything made from it: see `splits`. The corpus's own
held-out split, on which no model of the book was pre-trained, is held out here as well.

Licence. What is made from Wikipedia's articles is under CC BY-SA 4.0, as they are; the reviews are under CC BY 4.0. The
attributions are in `plm_lessons/data`.
"""

from plm_lessons.downstream.capitals import LabelledWords
from plm_lessons.downstream.measured import recorded_figures
from plm_lessons.downstream.pairs import LabelledPair
from plm_lessons.downstream.questions import Question
from plm_lessons.downstream.splits import SPLITS
from plm_lessons.downstream.tasks import TASKS, Task

__all__ = ["SPLITS", "TASKS", "LabelledPair", "LabelledWords", "Question", "Task", "recorded_figures"]
