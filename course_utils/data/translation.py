"""A small French–English grammar: sentences in lower case, each with one canonical translation.

It is a toy with real difficulties: agreement in gender and number (*la petite voiture rouge*),
adjectives before and after the noun (→ *the small red car*), forms before a vowel (*un bel arbre,
cet hôtel, mon école*), negation around the verb (*je ne vois pas de voiture* → *i do not see a
car*), elision (*j'aime l'art*), and words whose translation hangs on their neighbours: *porter* is
*wear* for a coat and *carry* for a bag; *automatique* is *automatic* for a door and *machine* for
a field of study; after *aimer* a plural is generic (*j'aime les chats* → *i love cats*).

``split`` divides by content: a test sentence has a noun with an adjective, or a verb with an
object, that never meet in training, although every single word does occur there. So a model that
only remembers what it saw fails on it. The showcase is in the test part: *l'apprentissage
automatique* has to be put together from *l'apprentissage profond* and *la traduction automatique*.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from dataclasses import dataclass

SHOWCASE = ("j'aime l'apprentissage automatique", "i love machine learning")
DEFAULT_SIZE = 24_000

# kind of noun: "french gender english", plurals only where the rules below fail.
NOUNS = {
    "child": "garçon m boy, fille f girl, enfant m child/children",
    "adult": "homme m man/men, femme f woman/women, ami m friend, amie f friend",
    "pro": "professeur m teacher, médecin m doctor, étudiant m student, étudiante f student, "
    "boulanger m baker, boulangère f baker, acteur m actor, actrice f actress",
    "animal": "chat m cat, chien m dog, cheval m horse, oiseau m bird, lapin m rabbit, "
    "âne m donkey, vache f cow, souris f mouse/mice, hibou/hiboux m owl, poule f hen",
    "fruit": "pomme f apple, poire f pear, abricot m apricot, tomate f tomato, olive f olive, "
    "haricot m bean, ananas m pineapple, cerise f cherry",
    "dish": "gâteau m cake, œuf m egg, salade f salad, sandwich m sandwich, soupe f soup, "
    "tarte f tart, omelette f omelette",
    "clothes": "robe f dress, chapeau m hat, manteau m coat, écharpe f scarf/scarves, "
    "chemise f shirt, ceinture f belt, uniforme m uniform, anorak m anorak, montre f watch",
    "luggage": "sac m bag, valise f suitcase, boîte f box, panier m basket, échelle f ladder",
    "readable": "livre m book, lettre f letter, journal m newspaper, roman m novel, "
    "article m article",
    "vehicle": "voiture f car, camion m truck, train m train, bus m bus",
    "craft": "vélo m bike, avion m plane, bateau m boat",
    "building": "maison f house, hôtel m hotel, école f school, château m castle, "
    "église f church, pont m bridge, musée m museum",
    "thing": "chaise f chair, table f table, horloge f clock, lampe f lamp, "
    "ordinateur m computer, clé f key, image f picture, harpe f harp, guitare f guitar",
    "opening": "porte f door, fenêtre f window",
    "water": "lac m lake, rivière f river, océan m ocean",
    "nature": "arbre m tree, fleur f flower, étoile f star, montagne f mountain, île f island",
    # Fields and ideas: French has the article, English has none.
    "field": "apprentissage m learning, traduction f translation, lecture f reading, "
    "musique f music, art m art, littérature f literature, histoire f history, "
    "physique f physics",
    "idea": "perception f perception, intelligence f intelligence, vie f life",
}
PEOPLE = "child adult pro"
GOODS = "fruit dish clothes luggage readable vehicle craft building thing"
CONCRETE = f"{PEOPLE} animal {GOODS} opening water nature"

# Forms: masculine, feminine, masculine plural, feminine plural, masculine before a vowel (if it
# differs) | english | kinds or single nouns it may go with.
BEFORE = {
    "petit": ("petit petite petits petites", "small", f"child animal {GOODS} opening water nature"),
    "grand": ("grand grande grands grandes", "big", f"animal {GOODS} opening water nature"),
    "vieux": (
        "vieux vieille vieux vieilles vieil",
        "old",
        "adult pro animal clothes luggage readable vehicle craft building thing opening arbre",
    ),
    "nouveau": (
        "nouveau nouvelle nouveaux nouvelles nouvel",
        "new",
        "ami amie pro clothes luggage readable vehicle craft building thing opening",
    ),
    "beau": (
        "beau belle beaux belles bel",
        "beautiful",
        "animal fruit dish clothes readable vehicle craft building thing water nature",
    ),
    "joli": ("joli jolie jolis jolies", "pretty", "animal clothes building thing water nature"),
    "jeune": ("jeune jeune jeunes jeunes", "young", f"{PEOPLE} animal arbre"),
    "bon": ("bon bonne bons bonnes", "good", "ami amie pro fruit dish readable animal"),
    "mauvais": ("mauvais mauvaise mauvais mauvaises", "bad", "pro fruit dish readable"),
}
PAINTED = "clothes luggage vehicle craft chaise table lampe porte fenêtre"
AFTER = {
    "rouge": ("rouge rouge rouges rouges", "red", f"{PAINTED} pomme tomate cerise fleur maison"),
    "bleu": ("bleu bleue bleus bleues", "blue", f"{PAINTED} fleur water oiseau"),
    "vert": ("vert verte verts vertes", "green", f"{PAINTED} pomme poire olive haricot tomate"),
    "noir": ("noir noire noirs noires", "black", f"{PAINTED} animal olive cerise"),
    "blanc": ("blanc blanche blancs blanches", "white", f"{PAINTED} animal fleur maison"),
    "jaune": ("jaune jaune jaunes jaunes", "yellow", f"{PAINTED} fleur tomate poire étoile"),
    "automatique": (
        "automatique automatique automatiques automatiques",
        "automatic",
        "porte fenêtre voiture camion train montre horloge lampe "
        "apprentissage traduction lecture perception",
    ),
    "rapide": (
        "rapide rapide rapides rapides",
        "fast",
        "vehicle craft cheval chien lapin souris ordinateur apprentissage traduction lecture",
    ),
    "lourd": ("lourd lourde lourds lourdes", "heavy", "luggage livre manteau chaise table porte"),
    "moderne": (
        "moderne moderne modernes modernes",
        "modern",
        "building thing vehicle craft roman art musique littérature histoire physique vie "
        "traduction",
    ),
    "cher": (
        "cher chère chers chères",
        "expensive",
        "clothes luggage vehicle craft maison hôtel thing",
    ),
    "intelligent": ("intelligent intelligente intelligents intelligentes", "intelligent",
                    f"{PEOPLE} animal"),
    "français": (
        "français française français françaises",
        "french",
        "adult pro dish readable art musique littérature histoire",
    ),
    "fatigué": ("fatigué fatiguée fatigués fatiguées", "tired", f"{PEOPLE} animal"),
    "heureux": ("heureux heureuse heureux heureuses", "happy", f"{PEOPLE} animal"),
    "célèbre": ("célèbre célèbre célèbres célèbres", "famous", "adult pro readable building"),
    "froid": ("froid froide froids froides", "cold", "dish water"),
    "vide": ("vide vide vides vides", "empty", "sac valise boîte panier building train bus"),
    "fermé": ("fermé fermée fermés fermées", "closed", "opening valise boîte sac building"),
    "important": ("important importante importants importantes", "important", "readable clé"),
    "profond": ("profond profonde profonds profondes", "deep", "water apprentissage lecture"),
    "actif": (
        "actif active actifs actives",
        "active",
        "pro apprentissage lecture perception vie",
    ),
    "humain": (
        "humain humaine humains humaines",
        "human",
        "apprentissage traduction perception intelligence vie",
    ),
    "visuel": ("visuel visuelle visuels visuelles", "visual", "apprentissage perception art"),
    "artificiel": (
        "artificiel artificielle artificiels artificielles",
        "artificial",
        "perception intelligence vie lac île fleur",
    ),
    "classique": (
        "classique classique classiques classiques",
        "classical",
        "musique art littérature physique",
    ),
}
# Together these mean something else: une grande école is a school for the few, un grand livre a
# ledger, une bonne poire a dupe, and a yellow star is not for play.
NEVER = {("école", "grand"), ("livre", "grand"), ("poire", "bon"), ("étoile", "jaune")}
# Nobody owns these here; ma fille would be my daughter, ma femme my wife.
UNOWNED = {"garçon", "fille", "homme", "femme", "église", "pont", "château", "musée"}

# Present tense, je tu il nous vous ils | english, he-form | what the object may be.
VERBS = {
    "aimer": ("aime aimes aime aimons aimez aiment", "love loves", f"{CONCRETE} field idea"),
    "voir": ("vois vois voit voyons voyez voient", "see sees", CONCRETE),
    "vouloir": ("veux veux veut voulons voulez veulent", "want wants", f"animal {GOODS}"),
    "manger": ("mange manges mange mangeons mangez mangent", "eat eats", "fruit dish"),
    "acheter": ("achète achètes achète achetons achetez achètent", "buy buys", f"animal {GOODS}"),
    "vendre": ("vends vends vend vendons vendez vendent", "sell sells", f"animal {GOODS}"),
    "chercher": ("cherche cherches cherche cherchons cherchez cherchent", "look looks for",
                 f"{PEOPLE} animal {GOODS}"),
    "porter": ("porte portes porte portons portez portent", "wear wears", "clothes luggage"),
    "lire": ("lis lis lit lisons lisez lisent", "read reads", "readable"),
    "étudier": ("étudie étudies étudie étudions étudiez étudient", "study studies",
                "field idea souris oiseau hibou étoile"),
    "enseigner": ("enseigne enseignes enseigne enseignons enseignez enseignent",
                  "teach teaches", "field"),
    "comprendre": ("comprends comprends comprend comprenons comprenez comprennent",
                   "understand understands", f"field idea readable {PEOPLE}"),
    "expliquer": ("explique expliques explique expliquons expliquez expliquent",
                  "explain explains", "field idea readable"),
    "dessiner": ("dessine dessines dessine dessinons dessinez dessinent", "draw draws",
                 f"{PEOPLE} animal vehicle craft building thing water nature"),
    "trouver": ("trouve trouves trouve trouvons trouvez trouvent", "find finds",
                "animal clothes luggage readable thing"),
    "laver": ("lave laves lave lavons lavez lavent", "wash washes",
              "animal fruit clothes vehicle opening vélo bateau chaise table"),
    "regarder": ("regarde regardes regarde regardons regardez regardent", "look looks at",
                 CONCRETE),
    "préparer": ("prépare prépares prépare préparons préparez préparent", "prepare prepares",
                 "dish"),
    "écouter": ("écoute écoutes écoute écoutons écoutez écoutent", "listen listens to", PEOPLE),
    "apporter": ("apporte apportes apporte apportons apportez apportent", "bring brings",
                 "fruit dish clothes luggage readable thing"),
    "attendre": ("attends attends attend attendons attendez attendent", "wait waits for",
                 f"{PEOPLE} train bus avion bateau voiture"),
    "ouvrir": ("ouvre ouvres ouvre ouvrons ouvrez ouvrent", "open opens",
               "opening valise boîte sac livre lettre journal"),
    "conduire": ("conduis conduis conduit conduisons conduisez conduisent", "drive drives",
                 "vehicle"),
}
# What a cat wants, and what it does.
ANIMALS_LIKE = {"child", "adult", "pro", "animal", "fruit", "dish", "nature", "water", "luggage"}
ANIMALS_DO = {"aimer", "voir", "vouloir", "manger", "chercher", "regarder", "attendre"}
BE = ("suis es est sommes êtes sont", "am are is are are are")
PRONOUNS = {  # french: english, person (index into the six forms), genders it may have
    "je": ("i", 0, "mf"), "tu": ("you", 1, "mf"), "il": ("he", 2, "m"), "elle": ("she", 2, "f"),
    "nous": ("we", 3, "mf"), "vous": ("you", 4, "mf"), "ils": ("they", 5, "m"),
    "elles": ("they", 5, "f"),
}
FEELINGS = ["fatigué", "heureux", "intelligent", "célèbre", "petit", "grand", "jeune", "vieux"]
WHEN = {
    "le matin": "in the morning", "le soir": "in the evening", "le lundi": "on mondays",
    "aujourd'hui": "today",
}
WHERE = {
    "dans le jardin": "in the garden", "à la maison": "at home", "dans la rue": "in the street",
    "dans la cuisine": "in the kitchen", "à l'école": "at school", "au marché": "at the market",
    "à la gare": "at the station",
}
PLACES = {  # verbs with a place after them, and which places
    "manger": ["dans le jardin", "à la maison", "dans la cuisine", "à l'école", "au marché"],
    "acheter": ["au marché", "à la gare"],
    "vendre": ["au marché", "dans la rue", "à la gare"],
    "lire": ["dans le jardin", "à la maison", "à l'école", "à la gare"],
    "étudier": ["à l'école", "à la maison"],
    "enseigner": ["à l'école"],
    "préparer": ["dans la cuisine", "à la maison"],
    "attendre": ["à la gare", "dans la rue", "à la maison"],
    "chercher": ["au marché", "dans le jardin", "dans la rue"],
}
TIMELESS = {"aimer", "vouloir", "comprendre", "porter", "trouver"}
GIVING = {"acheter", "préparer", "apporter", "chercher", "dessiner"}  # … pour mon amie
TOGETHER = {"manger", "lire", "étudier", "préparer", "regarder", "dessiner"}  # … avec mon amie

MUTE_H = {"homme", "hommes", "horloge", "horloges", "hôtel", "hôtels", "histoire",
          "heureux", "heureuse", "heureuses", "humain", "humaine", "humains", "humaines"}
ELIDES = {"je", "le", "la", "de", "ne"}


@dataclass(frozen=True)
class Noun:
    french: tuple[str, str]  # singular, plural
    english: tuple[str, str]
    gender: str  # "m" or "f"
    kind: str


@dataclass(frozen=True)
class Phrase:
    """A noun phrase in both languages, and the content pairs (noun, adjective) in it."""

    french: list[str]
    english: list[str]
    noun: Noun
    plural: bool
    combinations: frozenset


def _french_plural(word: str) -> str:
    if word[-1] in "sxz":
        return word
    if word.endswith("al"):
        return word[:-2] + "aux"
    return word + ("x" if word.endswith("eau") else "s")


def _english_plural(word: str) -> str:
    if re.search(r"(s|x|ch|sh|ato)$", word):
        return word + "es"
    if re.search(r"[^aeiou]y$", word):
        return word[:-1] + "ies"
    return word + "s"


def _nouns() -> dict[str, Noun]:
    found = {}
    for kind, listing in NOUNS.items():
        for entry in listing.split(", "):
            french, gender, english = entry.split()
            one, _, many = french.partition("/")
            eng, _, engs = english.partition("/")
            forms = (one, many or _french_plural(one)), (eng, engs or _english_plural(eng))
            found[one] = Noun(*forms, gender, kind)
    return found


LEXICON = _nouns()
ADJECTIVES = BEFORE | AFTER


def _matching(listing: str) -> list[str]:
    wanted = set(listing.split())
    return [word for word, noun in LEXICON.items() if {word, noun.kind} & wanted]


OBJECTS = {verb: _matching(listing) for verb, (_, _, listing) in VERBS.items()}
DESCRIBED = {a: [n for n in _matching(listing) if (n, a) not in NEVER]
             for a, (_, _, listing) in ADJECTIVES.items()}
FITTING = {noun: [a for a in ADJECTIVES if noun in DESCRIBED[a]] for noun in LEXICON}


def starts_with_vowel(word: str) -> bool:
    """True where French elides before it: a vowel or a mute h (*l'hôtel*, but *le hibou*)."""
    return word[0] in "aàâeéèêiîoôuœ" or word in MUTE_H


def adjective(lemma: str, gender: str, plural: bool, before: str = "") -> str:
    """The form that agrees; ``before`` is the noun it stands in front of, if any."""
    forms = ADJECTIVES[lemma][0].split()
    if len(forms) == 5 and gender == "m" and not plural and before and starts_with_vowel(before):
        return forms[4]
    return forms[2 * plural + (gender == "f")]


def _elide(words: list[str]) -> str:
    text = ""
    for word, following in zip(words, [*words[1:], ""]):
        elided = word in ELIDES and following and starts_with_vowel(following)
        text += word[:-1] + "'" if elided else word + " "
    return text.strip()


def _article(words: list[str]) -> str:
    """English a or an, by the sound of the next word."""
    return "an" if words[0][0] in "aeiou" and words[0] != "uniform" else "a"


def _determiner(kind: str, noun: Noun, plural: bool, following: str, verb: str, negated: bool,
                described_before: bool) -> tuple[list[str], list[str] | None]:
    """French and English determiners; None in English means a/an, still to be chosen."""
    feminine, vowel = noun.gender == "f", starts_with_vowel(following)
    if noun.kind in ("field", "idea"):
        return ["la" if feminine else "le"], []
    if kind == "the":
        generic = plural and verb == "aimer"
        french = "les" if plural else "la" if feminine else "le"
        return [french], [] if generic else ["the"]
    if kind == "a":
        if negated:  # un, une, des become de under negation
            return ["de"], ["any"] if plural else None
        if plural:  # and des becomes de before an adjective: de petites voitures
            return ["de" if described_before else "des"], ["some"]
        return ["une" if feminine else "un"], None
    if kind == "this":
        french = "ces" if plural else "cette" if feminine else "cet" if vowel else "ce"
        return [french], ["these" if plural else "this"]
    if kind == "my":
        return ["mes" if plural else "ma" if feminine and not vowel else "mon"], ["my"]
    if kind == "our":
        return ["nos" if plural else "notre"], ["our"]
    if kind == "their":
        return ["leurs" if plural else "leur"], ["their"]
    return [kind], [{"deux": "two", "trois": "three"}[kind]]


def phrase(noun: str, determiner: str = "the", plural: bool = False, before: str | None = None,
           after: str | None = None, verb: str = "", negated: bool = False) -> Phrase:
    """A noun phrase: ``phrase("voiture", "a", before="petit", after="rouge")``.

    ``determiner`` is the, a, this, my, our, their, deux or trois; ``verb`` and ``negated`` are the
    verb it is the object of, which change the articles.
    """
    entry = LEXICON[noun]
    uncounted = entry.kind in ("field", "idea")
    plural = (plural or determiner in ("deux", "trois")) and not uncounted
    if negated and determiner == "a" and entry.french[0] == entry.french[1]:
        plural = False  # pas d'ananas: nothing in French tells one from many
    word = entry.french[plural]
    described = [adjective(before, entry.gender, plural, before=word)] if before else []
    french = [*described, word]
    if after:
        french.append(adjective(after, entry.gender, plural))
    english = []
    for lemma in (before, after):
        if lemma == "automatique" and uncounted:
            english.append("machine")
        elif lemma:
            english.append(ADJECTIVES[lemma][1])
    english.append(entry.english[plural])
    in_french, in_english = _determiner(
        determiner, entry, plural, french[0], verb, negated, bool(before)
    )
    if in_english is None:
        in_english = [_article(english)]
    met = frozenset((noun, lemma) for lemma in (before, after) if lemma)
    return Phrase([*in_french, *french], [*in_english, *english], entry, plural, met)


def _subject(who: str | Phrase) -> tuple[list[str], list[str], int]:
    """French words, English words, index of the verb form."""
    if isinstance(who, Phrase):
        return who.french, who.english, 5 if who.plural else 2
    english, person, _ = PRONOUNS[who]
    return [who], [english], person


def clause(who: str | Phrase, verb: str, what: Phrase, negated: bool = False,
           tail: tuple[str, str] = ("", "")) -> tuple[str, str]:
    """Subject, verb, object, and perhaps a phrase of place, time or company after them."""
    french, english, person = _subject(who)
    form = VERBS[verb][0].split()[person]
    plain, third, *particle = VERBS[verb][1].split()
    if verb == "porter" and what.noun.kind == "luggage":
        plain, third = "carry", "carries"
    if negated:
        acts = ["does" if person == 2 else "do", "not", plain]
    else:
        acts = [third if person == 2 else plain]
    verb_french = ["ne", form, "pas"] if negated else [form]
    french = [*french, *verb_french, *what.french, *tail[0].split()]
    english = [*english, *acts, *particle, *what.english, *tail[1].split()]
    return _elide(french), " ".join(english)


def description(who: str | Phrase, lemma: str, negated: bool = False,
                gender: str = "m") -> tuple[str, str]:
    """Subject, *être*, and an adjective that agrees; ``gender`` matters for je, tu, nous, vous."""
    french, english, person = _subject(who)
    if isinstance(who, Phrase):
        gender = who.noun.gender
    form, be = BE[0].split()[person], BE[1].split()[person]
    verb = ["ne", form, "pas"] if negated else [form]
    agreeing = adjective(lemma, gender, plural=person > 2)
    english = [*english, be, *(["not"] if negated else []), ADJECTIVES[lemma][1]]
    return _elide([*french, *verb, agreeing]), " ".join(english)


def _random_phrase(rng: random.Random, noun: str, determiners: list[str], verb: str = "",
                   negated: bool = False) -> Phrase:
    if noun in UNOWNED or LEXICON[noun].kind in ("water", "nature"):
        determiners = [d for d in determiners if d not in ("my", "our", "their")]
    fitting = FITTING[noun]
    before = [a for a in fitting if a in BEFORE]
    after = [a for a in fitting if a in AFTER]
    dice = rng.random()
    field = LEXICON[noun].kind in ("field", "idea")
    return phrase(
        noun,
        rng.choice(determiners),
        plural=rng.random() < 0.4,
        before=rng.choice(before) if before and (dice < 0.3 or 0.6 < dice < 0.7) else None,
        after=rng.choice(after) if after and (0.3 < dice < 0.7 or field and dice < 0.7) else None,
        verb=verb,
        negated=negated,
    )


def _random_subject(rng: random.Random, nouns: list[str]) -> str | Phrase:
    if rng.random() < 0.55:
        return rng.choice(list(PRONOUNS))
    return _random_phrase(rng, rng.choice(nouns), ["the", "this", "my", "our"])


ACTORS = _matching(PEOPLE)
ANIMALS = _matching("animal")
THINGS = [noun for noun in _matching(CONCRETE) if FITTING[noun]]


def _draw(rng: random.Random) -> tuple[tuple[str, str], frozenset]:
    """One random sentence, and the content pairs in it."""
    negated = rng.random() < 0.35
    if rng.random() < 0.12:
        if rng.random() < 0.2:
            who = rng.choice(list(PRONOUNS))
            gender = rng.choice(PRONOUNS[who][2])
            return description(who, rng.choice(FEELINGS), negated, gender), frozenset()
        noun = rng.choice(THINGS)
        owned = noun not in UNOWNED and LEXICON[noun].kind not in ("water", "nature")
        determiners = ["the", "this", "my", "our"] if owned else ["the", "this"]
        who = phrase(noun, rng.choice(determiners), plural=rng.random() < 0.4)
        lemma = rng.choice(FITTING[noun])
        return description(who, lemma, negated), frozenset({(noun, lemma)})
    verb = rng.choice(list(VERBS))
    who = _random_subject(rng, ACTORS + (ANIMALS if verb in ANIMALS_DO else []))
    of_animal = isinstance(who, Phrase) and who.noun.kind == "animal"
    objects = OBJECTS[verb]
    if isinstance(who, Phrase):
        objects = [
            noun for noun in objects
            if noun != who.noun.french[0]
            and not (of_animal and LEXICON[noun].kind not in ANIMALS_LIKE)
        ]
    fields = [noun for noun in objects if LEXICON[noun].kind in ("field", "idea")]
    noun = rng.choice(fields if fields and rng.random() < 0.5 else objects)
    determiners = ["the", "this", "my", "our", "their"]
    if verb != "aimer":  # aimer goes with what is definite or generic
        determiners += ["a", "a", "a"] if negated else ["a", "a", "a", "deux", "trois"]
    what = _random_phrase(rng, noun, determiners, verb, negated)
    tail, dice = ("", ""), rng.random()
    if verb in PLACES and dice < 0.15 and not of_animal:
        place = rng.choice(PLACES[verb])
        tail = (place, WHERE[place])
    elif verb not in TIMELESS and dice < 0.25:
        tail = rng.choice(list(WHEN.items()))
    elif dice < 0.35 and verb in GIVING | TOGETHER and not of_animal:
        company = rng.choice([a for a in ACTORS if a != noun])
        owners = ["the"] if company in UNOWNED else ["the", "my", "our"]
        other = phrase(company, rng.choice(owners), plural=rng.random() < 0.3)
        word = ("pour", "for") if verb in GIVING else ("avec", "with")
        tail = (_elide([word[0], *other.french]), " ".join([word[1], *other.english]))
    met = what.combinations | {(verb, noun)}
    if isinstance(who, Phrase):
        met |= who.combinations
    return clause(who, verb, what, negated, tail), met


def _drawn(n: int, seed: int) -> list[tuple[tuple[str, str], frozenset]]:
    """``n`` distinct sentences with their content pairs; the showcase is one of them."""
    if not 1 <= n <= 200_000:
        raise ValueError(f"n must be between 1 and 200,000, got {n}")
    rng = random.Random(seed)
    met = frozenset({("aimer", "apprentissage"), ("apprentissage", "automatique")})
    found = {SHOWCASE[0]: (SHOWCASE, met)}
    while len(found) < n:
        pair, met = _draw(rng)
        found.setdefault(pair[0], (pair, met))
    rows = list(found.values())
    rng.shuffle(rows)
    return rows


def pairs(n: int | None = None, seed: int = 0) -> list[tuple[str, str]]:
    """``n`` distinct (french, english) pairs (24,000 if not given), the same for the same seed."""
    return [pair for pair, _ in _drawn(DEFAULT_SIZE if n is None else n, seed)]


def words(text: str) -> list[str]:
    """Words of either language, an elided one by itself: ``l'art`` → ``["l'", "art"]``."""
    return re.findall(r"aujourd'hui|\w+'?", text)


def held_out(seed: int = 0) -> dict[str, set[tuple[str, str]]]:
    """The content pairs kept from training: (noun, adjective) and (verb, object).

    About one in fifteen goes to the test part and one in thirty to validation, at most a third of
    those any word takes part in, so that each word can be learnt from other company.
    """
    rng = random.Random(seed)
    groups = [
        [(noun, a) for a, nouns in DESCRIBED.items() for noun in nouns],
        [(verb, noun) for verb, nouns in OBJECTS.items() for noun in nouns],
    ]
    kept = {"test": {("apprentissage", "automatique")}, "validation": set()}
    for group in groups:
        total: dict[tuple[int, str], int] = {}
        taken: dict[tuple[int, str], int] = {}
        for side in (0, 1):
            for pair in group:
                total[side, pair[side]] = total.get((side, pair[side]), 0) + 1
        rng.shuffle(group)
        quota = {"test": len(group) // 15, "validation": len(group) // 30}
        for pair in group:
            field = LEXICON.get(pair[0])
            if pair[1] == "automatique" and field and field.kind in ("field", "idea"):
                continue  # the showcase must stay learnable from traduction automatique & co.
            part = "test" if quota["test"] else "validation" if quota["validation"] else None
            places = [(side, pair[side]) for side in (0, 1)]
            if part and all(3 * (taken.get(p, 0) + 1) <= total[p] for p in places):
                kept[part].add(pair)
                quota[part] -= 1
                for p in places:
                    taken[p] = taken.get(p, 0) + 1
    return kept


def split(seed: int = 0) -> dict[str, list[tuple[str, str]]]:
    """Train, validation and test, by content.

    A sentence with a content pair kept for the test is in the test, one with a pair kept for
    validation in validation; the rest is training. Sentences with a word that training lacks are
    left out of the other two.
    """
    kept = held_out(seed)
    parts: dict[str, list[tuple[str, str]]] = {"train": [], "validation": [], "test": []}
    for pair, met in _drawn(DEFAULT_SIZE, seed):
        part = next((p for p in ("test", "validation") if met & kept[p]), "train")
        parts[part].append(pair)
    known = [{word for pair in parts["train"] for word in words(pair[side])} for side in (0, 1)]
    for part in ("validation", "test"):
        parts[part] = [
            pair for pair in parts[part]
            if all(set(words(text)) <= seen for text, seen in zip(pair, known))
        ]
    return parts


def dictionary(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """For each French word the English one that it shares most sentences with: a word-by-word translator.

    "Most" by the Dice score: twice the number of sentences with both, over the sum of those with either.
    """
    french, english, both = Counter(), Counter(), Counter()
    for source, target in pairs:
        here, there = set(words(source)), set(target.split())
        french.update(here)
        english.update(there)
        both.update((f, e) for f in here for e in there)
    best: dict[str, tuple[float, str]] = {}
    for (f, e), n in sorted(both.items()):
        score = 2 * n / (french[f] + english[e])
        if f not in best or score > best[f][0]:
            best[f] = score, e
    return {f: e for f, (_, e) in best.items()}


def crossing(pair: tuple[str, str]) -> tuple[int, int] | None:
    """Where noun and adjective change places: the noun's position in French, the adjective's in English.

    >>> crossing(("il voit une petite voiture rouge", "he sees a small red car"))
    (4, 4)
    """
    nouns = {f: e for noun in LEXICON.values() for f, e in zip(noun.french, noun.english)}
    after = {form: english for forms, english, _ in AFTER.values() for form in forms.split()}
    french, english = words(pair[0]), pair[1].split()
    for i, (noun, adjective) in enumerate(zip(french, french[1:])):
        if noun in nouns and adjective in after:
            for j in range(len(english) - 1):
                if english[j : j + 2] == [after[adjective], nouns[noun]]:
                    return i, j
    return None
