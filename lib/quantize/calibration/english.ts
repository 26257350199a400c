/**
 * What calibrations look at where no text is given: some 6,000 tokens of varied English. Passages of books are in the public
 * domain (named before each); all else was written for this package and is under its licence. Kept apart from the texts that
 * this package evaluates by.
 */
export const ENGLISH: readonly string[] = [
  // Arthur Conan Doyle, A Scandal in Bohemia, 1891.
  `To Sherlock Holmes she is always the woman. I have seldom heard him mention her under any other name. In his eyes she eclipses and predominates the whole of her sex. It was not that he felt any emotion akin to love for Irene Adler. All emotions, and that one particularly, were abhorrent to his cold, precise but admirably balanced mind. He was, I take it, the most perfect reasoning and observing machine that the world has seen, but as a lover he would have placed himself in a false position. He never spoke of the softer passions, save with a gibe and a sneer. They were admirable things for the observer, excellent for drawing the veil from men's motives and actions. But for the trained reasoner to admit such intrusions into his own delicate and finely adjusted temperament was to introduce a distracting factor which might throw a doubt upon all his mental results. Grit in a sensitive instrument, or a crack in one of his own high-power lenses, would not be more disturbing than a strong emotion in a nature such as his. And yet there was but one woman to him, and that woman was the late Irene Adler, of dubious and questionable memory.

I had seen little of Holmes lately. My marriage had drifted us away from each other. My own complete happiness, and the home-centred interests which rise up around the man who first finds himself master of his own establishment, were sufficient to absorb all my attention, while Holmes, who loathed every form of society with his whole Bohemian soul, remained in our lodgings in Baker Street, buried among his old books.`,
  // Mary Shelley, Frankenstein, 1818.
  `It was on a dreary night of November that I beheld the accomplishment of my toils. With an anxiety that almost amounted to agony, I collected the instruments of life around me, that I might infuse a spark of being into the lifeless thing that lay at my feet. It was already one in the morning; the rain pattered dismally against the panes, and my candle was nearly burnt out, when, by the glimmer of the half-extinguished light, I saw the dull yellow eye of the creature open; it breathed hard, and a convulsive motion agitated its limbs. How can I describe my emotions at this catastrophe, or how delineate the wretch whom with such infinite pains and care I had endeavoured to form? His limbs were in proportion, and I had selected his features as beautiful.`,
  // Henry David Thoreau, Walden, 1854.
  `I went to the woods because I wished to live deliberately, to front only the essential facts of life, and see if I could not learn what it had to teach, and not, when I came to die, discover that I had not lived. I did not wish to live what was not life, living is so dear; nor did I wish to practise resignation, unless it was quite necessary. I wanted to live deep and suck out all the marrow of life, to live so sturdily and Spartan-like as to put to rout all that was not life, to cut a broad swath and shave close, to drive life into a corner, and reduce it to its lowest terms.`,
  // The Declaration of Independence, 1776.
  `When in the Course of human events, it becomes necessary for one people to dissolve the political bands which have connected them with another, and to assume among the powers of the earth, the separate and equal station to which the Laws of Nature and of Nature's God entitle them, a decent respect to the opinions of mankind requires that they should declare the causes which impel them to the separation. We hold these truths to be self-evident, that all men are created equal, that they are endowed by their Creator with certain unalienable Rights, that among these are Life, Liberty and the pursuit of Happiness. That to secure these rights, Governments are instituted among Men, deriving their just powers from the consent of the governed.`,
  // H. G. Wells, The War of the Worlds, 1898.
  `No one would have believed in the last years of the nineteenth century that this world was being watched keenly and closely by intelligences greater than man's and yet as mortal as his own; that as men busied themselves about their various concerns they were scrutinised and studied, perhaps almost as narrowly as a man with a microscope might scrutinise the transient creatures that swarm and multiply in a drop of water. With infinite complacency men went to and fro over this globe about their little affairs, serene in their assurance of their empire over matter. Yet across the gulf of space, minds that are to our minds as ours are to those of the beasts that perish, intellects vast and cool and unsympathetic, regarded this earth with envious eyes, and slowly and surely drew their plans against us.`,
  // Mark Twain, Adventures of Huckleberry Finn, 1884.
  `You don't know about me without you have read a book by the name of The Adventures of Tom Sawyer; but that ain't no matter. That book was made by Mr. Mark Twain, and he told the truth, mainly. There was things which he stretched, but mainly he told the truth. That is nothing. I never seen anybody but lied one time or another, without it was Aunt Polly, or the widow, or maybe Mary.`,
  `The ferry leaves the island at six in the morning, before the fog has lifted, and for the first half hour the passengers see nothing but grey water and the backs of the gulls. Most of them sleep. Those who do not sit by the windows with paper cups of coffee and talk quietly about the price of diesel, the new teacher, and whose boat was out in last night's wind. By seven the hills appear on the far side, first as a darker band in the mist, then as woods and fields, and finally as houses with lights in the kitchens. Nobody hurries to the doors. The captain has made this crossing more than nine thousand times, and he brings the ferry to the pier so gently that a full cup on the table does not spill.

My grandmother made the journey only twice. The first time she was nineteen and carried a suitcase with a broken lock, tied shut with string; the second time she was eighty-four and complained that the seats had become smaller. "In those days," she said, "you could smell the tar on the planks, and there was always somebody with a fiddle." I asked whether she had been afraid. She looked at me as though I had asked whether she had been hungry. "Of course I was afraid," she said. "That is what the suitcase was for. It gives your hands something to do."`,
  `Question: Why does the sky look blue during the day and red near sunset?
Answer: Sunlight contains all colors. As it passes through the atmosphere, molecules of nitrogen and oxygen scatter short wavelengths much more strongly than long ones; the strength of this effect grows with the inverse fourth power of the wavelength. When the sun is high, the scattered light that reaches our eyes from every direction is mostly blue. Near sunset the light travels through far more air, so that most of the blue has been scattered away before it arrives, and what remains is orange and red.

Question: What is the difference between a virus and a bacterium?
Answer: A bacterium is a living cell with its own metabolism, able to grow and divide on its own. A virus is much smaller and consists of genetic material in a coat of protein; it can only reproduce inside the cells of a host. Antibiotics act on bacteria and have no effect on viruses.

Question: How many days are there in a leap year, and how is one recognized?
Answer: A leap year has 366 days. A year is a leap year if it is divisible by 4, unless it is divisible by 100; but years divisible by 400 are leap years all the same. So 1996 and 2000 were leap years, while 1900 was not.

Question: Who wrote the play Hamlet, and about when?
Answer: William Shakespeare wrote Hamlet, probably between 1599 and 1601.`,
  `<|im_start|>system
You are a helpful assistant.<|im_end|>
<|im_start|>user
Can you explain what an API is? I am not a programmer.<|im_end|>
<|im_start|>assistant
Sure! Think of a restaurant. You sit at a table and the kitchen prepares the food, but you never walk into the kitchen yourself. Instead, a waiter takes your order, brings it to the kitchen, and returns with your meal. An API (application programming interface) is like that waiter: it is a set of agreed requests that one program can make to another, without knowing how the other one works inside. For example, a weather app on your phone asks a weather service for tomorrow's forecast through the service's API, and shows you the answer.<|im_end|>
<|im_start|>user
Thanks. And what does it mean when an API is "down"?<|im_end|>
<|im_start|>assistant
It means that the service behind it does not answer at the moment, or answers with errors. In the restaurant, the waiter would tell you that the kitchen is closed. Programs that depend on it usually wait a little and try again, or show you a message.<|im_end|>
<|im_start|>user
Write a short poem about a cat who is afraid of rain.<|im_end|>
<|im_start|>assistant
Beneath the chair, two eyes of green
Peer out upon a silver scene;
The drops that tap against the pane
Are tiny drums, the feet of rain.
"I could go out," says Whiskers, proud,
"But someone ought to watch that cloud."<|im_end|>`,
  `import json
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Account:
    """A bank account with a history of its transactions."""

    owner: str
    balance: float = 0.0
    history: list = field(default_factory=list)

    def deposit(self, amount: float) -> None:
        if amount <= 0:
            raise ValueError("the amount must be positive")
        self.balance += amount
        self.history.append(("deposit", amount))

    def withdraw(self, amount: float) -> None:
        if amount > self.balance:
            raise ValueError(f"only {self.balance:.2f} left")
        self.balance -= amount
        self.history.append(("withdraw", amount))


def load_accounts(path: Path) -> dict[str, Account]:
    data = json.loads(path.read_text())
    return {name: Account(name, entry["balance"]) for name, entry in data.items()}


if __name__ == "__main__":
    accounts = load_accounts(Path("accounts.json"))
    for name in sorted(accounts):
        print(name, accounts[name].balance)`,
  `function groupBy(items, keyOf) {
  const groups = new Map();
  for (const item of items) {
    const key = keyOf(item);
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(item);
  }
  return groups;
}

// The largest sum of a run of neighbours, in linear time.
export function maxSubarray(numbers) {
  let best = -Infinity;
  let current = 0;
  for (const n of numbers) {
    current = Math.max(n, current + n);
    best = Math.max(best, current);
  }
  return best;
}

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
  if (argc < 2) {
    fprintf(stderr, "usage: %s N\\n", argv[0]);
    return EXIT_FAILURE;
  }
  long n = strtol(argv[1], NULL, 10);
  unsigned long a = 0, b = 1;
  for (long i = 0; i < n; ++i) {
    unsigned long next = a + b;
    a = b;
    b = next;
  }
  printf("%lu\\n", a);
  return EXIT_SUCCESS;
}

SELECT c.name, COUNT(o.id) AS orders, SUM(o.total) AS revenue
FROM customers AS c
LEFT JOIN orders AS o ON o.customer_id = c.id AND o.created_at >= '2024-01-01'
GROUP BY c.name
HAVING COUNT(o.id) > 3
ORDER BY revenue DESC
LIMIT 20;`,
  `# Release notes

## 2.4.0

- **Faster start:** the index is read lazily, so that opening a project takes less than a second.
- The \`--quiet\` flag now suppresses warnings as well.
- Fixed a crash when a file was renamed while it was being saved (#1182).

| Planet  | Diameter (km) | Distance from Sun (million km) | Moons | Day length (h) |
|---------|--------------:|-------------------------------:|------:|---------------:|
| Mercury |         4,879 |                           57.9 |     0 |         4222.6 |
| Venus   |        12,104 |                          108.2 |     0 |         2802.0 |
| Earth   |        12,756 |                          149.6 |     1 |           24.0 |
| Mars    |         6,792 |                          228.0 |     2 |           24.7 |
| Jupiter |       142,984 |                          778.5 |    95 |            9.9 |

{"id": 4711, "customer": {"name": "Dana Whitfield", "email": "dana@example.com"}, "items": [{"sku": "LAMP-02", "quantity": 1, "price": 39.9}, {"sku": "BULB-60", "quantity": 4, "price": 2.5}], "paid": true, "notes": null}`,
  `The heart is a muscle about the size of a fist that pumps blood through two circuits. The right side receives blood that has given up its oxygen to the tissues and sends it to the lungs; the left side receives the fresh blood from the lungs and sends it to the rest of the body. Each side has two chambers: an atrium, which collects the blood, and a ventricle, which pushes it out. Valves between the chambers make sure that the blood flows in one direction only. At rest an adult's heart beats between sixty and a hundred times a minute, moving about five liters of blood; during hard exercise it may move four times as much.

The Industrial Revolution began in Britain in the second half of the eighteenth century. Several causes came together: coal lay close to the surface, rivers and canals made transport cheap, and a growing trade overseas offered both raw materials and customers. The steam engine, which had been built to pump water out of mines, was improved by James Watt and soon drove looms, hammers and locomotives. Towns such as Manchester grew within a lifetime from market places to cities of factories. Wages rose slowly and unevenly, and working conditions were harsh; laws that limited the hours of children came only after decades of debate. Historians still disagree about how quickly ordinary people became better off.

In economics, the price of a good tends to settle where the quantity that buyers want equals the quantity that sellers offer. If the price is higher, unsold goods pile up and sellers lower it; if it is lower, shelves are empty and buyers bid it up. Taxes, subsidies and limits on prices move this balance. A maximum rent, for example, helps those who already have a flat, but may leave others searching for longer, because fewer flats are offered.`,
  `Problem: A train travels 180 kilometers in 2 hours and 15 minutes. What is its average speed?
Solution: 2 hours and 15 minutes are 2.25 hours. The average speed is 180 / 2.25 = 80 kilometers per hour.

Problem: Solve the equation 3x + 7 = 25.
Solution: Subtract 7 from both sides: 3x = 18. Divide by 3: x = 6. Check: 3 * 6 + 7 = 18 + 7 = 25.

Problem: A bag holds 5 red and 3 blue marbles. Two are drawn without replacement. What is the probability that both are red?
Solution: The first is red with probability 5/8. Then 4 of the remaining 7 are red, so the second is red with probability 4/7. Together: 5/8 * 4/7 = 20/56 = 5/14, which is about 0.357.

Theorem. The square root of 2 is irrational.
Proof. Suppose that it were p/q in lowest terms. Then p^2 = 2 q^2, so p^2 is even, and therefore p is even, say p = 2r. Hence 4 r^2 = 2 q^2, that is q^2 = 2 r^2, and q is even as well. But then p/q was not in lowest terms, a contradiction.`,
  `Simple Vegetable Soup

Ingredients: 2 tablespoons olive oil, 1 large onion, 3 carrots, 2 stalks of celery, 3 cloves of garlic, 1 can of tomatoes, 1.5 liters of water, 200 g green beans, salt, pepper, a handful of parsley.

1. Heat the oil in a large pot over medium heat. Add the chopped onion and cook for five minutes, until it is soft.
2. Add the carrots, celery and garlic, and stir for another two minutes.
3. Pour in the tomatoes and the water, bring to a boil, and let the soup simmer for twenty minutes.
4. Add the beans and cook for ten minutes more. Season with salt and pepper, and sprinkle with parsley before serving.

Subject: Meeting moved to Thursday

Hi everyone,

because of the holiday on Monday, our weekly meeting moves to Thursday, 14 March, at 10:30 a.m. in room 204. Please send me your updates by Wednesday evening, so that I can put them on the agenda. If you cannot come, let me know and we will arrange a short call instead.

Best regards,
Miriam`,
  `"Did you lock the door?" asked Tom.
"I thought you did," said Elena.
They looked at each other for a moment, and then both began to run. The path from the beach was steep, and the sand slid away under their feet. When they reached the top they saw that the door stood wide open, and that an old goat was eating the curtains.
"Well," said Tom, out of breath, "at least it isn't a burglar."
"It is worse," said Elena. "Those were my mother's."

The city council voted on Tuesday evening to close the old bridge to cars from next spring. Seven members were in favor, four against. The mayor called the decision "a first step towards a quieter center", while shop owners on the east bank fear that customers will stay away. A petition with more than three thousand signatures had asked for a trial period of six months. According to the city's engineers the bridge, built in 1931, needs repairs that will cost between eight and eleven million dollars in any case. Cyclists, pedestrians and buses will still be allowed to cross.

Reviewed by a verified customer: I bought this backpack for a three-week trip and was pleasantly surprised. The straps are comfortable even with twelve kilos, and the rain cover really works. Two things could be better: the zipper of the front pocket catches now and then, and the bottle holder is too small for a one-liter bottle. Four out of five stars.`,
  // Aesop's fables, after George Fyler Townsend, 1867.
  `A Crow, half-dead with thirst, came upon a Pitcher which had once been full of water; but when the Crow put its beak into the mouth of the Pitcher he found that only very little water was left in it, and that he could not reach far enough down to get at it. He tried, and he tried, but at last had to give up in despair. Then a thought came to him, and he took a pebble and dropped it into the Pitcher. Then he took another pebble and dropped it into the Pitcher. At last, at last, he saw the water mount up near him, and after casting in a few more pebbles he was able to quench his thirst and save his life. Little by little does the trick.

The North Wind and the Sun disputed as to which was the most powerful, and agreed that he should be declared the victor who could first strip a wayfaring man of his clothes. The North Wind first tried his power and blew with all his might, but the keener his blasts, the closer the Traveler wrapped his cloak around him, until at last, resigning all hope of victory, the Wind called upon the Sun to see what he could do. The Sun suddenly shone out with all his warmth. The Traveler no sooner felt his genial rays than he took off one garment after another, and at last, fairly overcome with heat, undressed and bathed in a stream that lay in his path. Persuasion is better than Force.`,
  // Charlotte Bronte, Jane Eyre, 1847; Charles Dickens, Great Expectations, 1861; Bram Stoker, Dracula, 1897.
  `There was no possibility of taking a walk that day. We had been wandering, indeed, in the leafless shrubbery an hour in the morning; but since dinner (Mrs. Reed, when there was no company, dined early) the cold winter wind had brought with it clouds so sombre, and a rain so penetrating, that further out-door exercise was now out of the question. I was glad of it: I never liked long walks, especially on chilly afternoons: dreadful to me was the coming home in the raw twilight, with nipped fingers and toes, and a heart saddened by the chidings of Bessie, the nurse, and humbled by the consciousness of my physical inferiority to Eliza, John, and Georgiana Reed.

My father's family name being Pirrip, and my Christian name Philip, my infant tongue could make of both names nothing longer or more explicit than Pip. So, I called myself Pip, and came to be called Pip. I give Pirrip as my father's family name, on the authority of his tombstone and my sister, Mrs. Joe Gargery, who married the blacksmith. As I never saw my father or my mother, and never saw any likeness of either of them (for their days were long before the days of photographs), my first fancies regarding what they were like were unreasonably derived from their tombstones.

3 May. Bistritz. Left Munich at 8:35 P.M., on 1st May, arriving at Vienna early next morning; should have arrived at 6:46, but train was an hour late. Buda-Pesth seems a wonderful place, from the glimpse which I got of it from the train and the little I could walk through the streets. I feared to go very far from the station, as we had arrived late and would start as near the correct time as possible. The impression I had was that we were leaving the West and entering the East.`,
  `How to change a bicycle tube

First, turn the bicycle upside down and take out the wheel. On the back wheel, shift to the smallest sprocket before you begin, so that the chain comes off easily. Let out the remaining air, push the tire away from the rim all around, and lift one side over the rim with a tire lever. Pull out the tube. Before you put in the new one, run your fingers carefully along the inside of the tire: whatever made the hole may still be there. Pump a little air into the new tube, so that it keeps its shape, put the valve through its hole, and press the tire back onto the rim with your thumbs, beginning opposite the valve. Check that the tube is not pinched anywhere. Then pump it up, put the wheel back, and make sure that it turns freely between the brakes.

Frequently asked: Is it safe to ride with a patched tube? Yes. A good patch lasts as long as the tube. Should you carry a pump or a cartridge? A pump never runs out.

The museum is open daily except Mondays, from 9 a.m. to 5 p.m., and on Fridays until 8 p.m. Tickets cost 12 dollars for adults and 6 dollars for students; children under ten enter free of charge. Guided tours in English start at 11 a.m. and 3 p.m. The entrance for wheelchairs is on Mill Street.`,
  `Dear Professor Lindqvist,

thank you for your careful comments on our manuscript. We have revised it as follows. In section 2 we now define the sampling procedure before it is used, and state the number of participants in each group (control: n = 48; treatment: n = 51). In section 4 we report confidence intervals instead of p-values alone; the main effect remains (difference 3.2 points, 95% interval 1.1 to 5.3). We agree that the second experiment cannot separate fatigue from learning, and say so in the discussion. Finally, Figure 3 has been redrawn with the same scale on both axes.

Abstract. Coral reefs cover less than one percent of the ocean floor, yet about a quarter of all marine species depend on them at some stage of their lives. When the water becomes too warm, corals expel the algae that live in their tissue and turn white. We followed 120 colonies on two reefs over eight years and found that those which had bleached moderately once were less likely to die in a later heat wave. The effect was strongest in branching species and disappeared where the heat lasted longer than nine weeks. Our results suggest that some populations acclimatize, but within narrow limits.`,
];
