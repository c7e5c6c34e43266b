"""What the mails say, in every language that they can say it in: pure data. English stands in for a language that is not here."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from shared.fields import DisputeOutcome, DisputeReason, Side

FALLBACK: Final = "en"


@dataclass(frozen=True, slots=True)
class Phrases:
    """One language. Names in braces are filled in; `your_order` is said to the customer, `the_order` to everybody else.

    `subject` is the same in all mails to a person about an order, so that mail programs keep them together; `headline_…` says what is new.
    What follows the greeting begins with a capital where people of the language write one there: after a comma not in German and Italian.
    """

    your_order: str
    the_order: str
    subject: str
    headline_one: str
    headline_many: str
    headline_opened: str
    headline_closed: str
    no_reply: str
    greeting: str
    intro_one: str
    intro_many: str
    opened: str
    closed: str
    reason: str
    outcome: str
    redacted: str
    more_entries_one: str
    more_entries_many: str
    read_rest: str
    button: str
    order_heading: str
    more_items: str
    price_each: str
    total: str
    see_order: str
    why: str
    unsubscribe: str
    sides: Mapping[Side, str]
    reasons: Mapping[DisputeReason, str]
    outcomes: Mapping[DisputeOutcome, str]
    colon: str = ":"


ENGLISH: Final = Phrases(
    your_order="your order {order}",
    the_order="order {order}",
    subject="Messages about {about}",
    headline_one="New message about {about}",
    headline_many="{count} new messages about {about}",
    headline_opened="A dispute was opened about {about}",
    headline_closed="The dispute about {about} was closed",
    no_reply="Please do not reply to this e-mail: replies are not read. To answer, open the conversation.",
    greeting="Hello {name},",
    intro_one="There is something new in the conversation about {about}.",
    intro_many="There are {count} new entries in the conversation about {about}.",
    opened="Dispute opened",
    closed="Dispute closed",
    reason="Reason",
    outcome="Outcome",
    redacted="This text was removed.",
    more_entries_one="and one more entry",
    more_entries_many="and {count} more entries",
    read_rest="Read the rest in the conversation",
    button="Open the conversation",
    order_heading="Order {order}",
    more_items="and {count} more",
    price_each="{price} each",
    total="Total",
    see_order="See the order",
    why="You receive this e-mail because you take part in the conversation about this order.",
    unsubscribe="Unsubscribe from these e-mails",
    sides={"customer": "Customer", "seller": "Seller", "shop": "Shop"},
    reasons={
        "not_received": "Not received",
        "not_as_described": "Not as described",
        "damaged": "Damaged",
        "wrong_item": "Wrong item",
        "refund_missing": "Refund missing",
        "other": "Other",
    },
    outcomes={
        "resolved": "Resolved",
        "refunded": "Refunded",
        "replaced": "Replaced",
        "withdrawn": "Withdrawn",
        "rejected": "Rejected",
    },
)

GERMAN: Final = Phrases(
    your_order="Ihrer Bestellung {order}",
    the_order="Bestellung {order}",
    subject="Nachrichten zu {about}",
    headline_one="Neue Nachricht zu {about}",
    headline_many="{count} neue Nachrichten zu {about}",
    headline_opened="Streitfall eröffnet zu {about}",
    headline_closed="Streitfall geschlossen zu {about}",
    no_reply="Bitte antworten Sie nicht auf diese E-Mail: Antworten werden nicht gelesen. Öffnen Sie dazu die Unterhaltung.",
    greeting="Guten Tag {name},",
    intro_one="in der Unterhaltung zu {about} gibt es etwas Neues.",
    intro_many="in der Unterhaltung zu {about} gibt es {count} neue Einträge.",
    opened="Streitfall eröffnet",
    closed="Streitfall geschlossen",
    reason="Grund",
    outcome="Ergebnis",
    redacted="Dieser Text wurde entfernt.",
    more_entries_one="und ein weiterer Eintrag",
    more_entries_many="und {count} weitere Einträge",
    read_rest="Den Rest in der Unterhaltung lesen",
    button="Unterhaltung öffnen",
    order_heading="Bestellung {order}",
    more_items="und {count} weitere",
    price_each="je {price}",
    total="Gesamtbetrag",
    see_order="Bestellung ansehen",
    why="Sie erhalten diese E-Mail, weil Sie an der Unterhaltung zu dieser Bestellung beteiligt sind.",
    unsubscribe="Diese E-Mails abbestellen",
    sides={"customer": "Kunde", "seller": "Verkäufer", "shop": "Shop"},
    reasons={
        "not_received": "Nicht erhalten",
        "not_as_described": "Nicht wie beschrieben",
        "damaged": "Beschädigt",
        "wrong_item": "Falscher Artikel",
        "refund_missing": "Erstattung fehlt",
        "other": "Sonstiges",
    },
    outcomes={
        "resolved": "Gelöst",
        "refunded": "Erstattet",
        "replaced": "Ersetzt",
        "withdrawn": "Zurückgezogen",
        "rejected": "Abgelehnt",
    },
)

SPANISH: Final = Phrases(
    your_order="su pedido {order}",
    the_order="el pedido {order}",
    subject="Mensajes sobre {about}",
    headline_one="Nuevo mensaje sobre {about}",
    headline_many="{count} mensajes nuevos sobre {about}",
    headline_opened="Se ha abierto una disputa sobre {about}",
    headline_closed="Se ha cerrado la disputa sobre {about}",
    no_reply="No responda a este correo: las respuestas no se leen. Para contestar, abra la conversación.",
    greeting="Hola, {name}:",
    intro_one="Hay una novedad en la conversación sobre {about}.",
    intro_many="Hay {count} novedades en la conversación sobre {about}.",
    opened="Disputa abierta",
    closed="Disputa cerrada",
    reason="Motivo",
    outcome="Resultado",
    redacted="Este texto se ha eliminado.",
    more_entries_one="y una novedad más",
    more_entries_many="y {count} novedades más",
    read_rest="Leer el resto en la conversación",
    button="Abrir la conversación",
    order_heading="Pedido {order}",
    more_items="y {count} más",
    price_each="{price} por unidad",
    total="Total",
    see_order="Ver el pedido",
    why="Recibe este correo porque participa en la conversación sobre este pedido.",
    unsubscribe="Dejar de recibir estos correos",
    sides={"customer": "Cliente", "seller": "Vendedor", "shop": "Tienda"},
    reasons={
        "not_received": "No recibido",
        "not_as_described": "No coincide con la descripción",
        "damaged": "Dañado",
        "wrong_item": "Artículo equivocado",
        "refund_missing": "Falta el reembolso",
        "other": "Otro",
    },
    outcomes={
        "resolved": "Resuelta",
        "refunded": "Reembolso realizado",
        "replaced": "Artículo sustituido",
        "withdrawn": "Retirada",
        "rejected": "Rechazada",
    },
)

FRENCH: Final = Phrases(
    your_order="votre commande {order}",
    the_order="la commande {order}",
    subject="Messages concernant {about}",
    headline_one="Nouveau message concernant {about}",
    headline_many="{count} nouveaux messages concernant {about}",
    headline_opened="Un litige a été ouvert concernant {about}",
    headline_closed="Le litige concernant {about} a été clos",
    no_reply="Merci de ne pas répondre à cet e-mail\u00a0: les réponses ne sont pas lues. Pour répondre, ouvrez la conversation.",
    greeting="Bonjour {name},",
    intro_one="Il y a du nouveau dans la conversation concernant {about}.",
    intro_many="Il y a {count} nouveautés dans la conversation concernant {about}.",
    opened="Litige ouvert",
    closed="Litige clos",
    reason="Motif",
    outcome="Issue",
    redacted="Ce texte a été supprimé.",
    more_entries_one="et une autre nouveauté",
    more_entries_many="et {count} autres nouveautés",
    read_rest="Lire la suite dans la conversation",
    button="Ouvrir la conversation",
    order_heading="Commande {order}",
    more_items="et {count} de plus",
    price_each="{price} l’unité",
    total="Total",
    see_order="Voir la commande",
    why="Vous recevez cet e-mail parce que vous participez à la conversation concernant cette commande.",
    unsubscribe="Ne plus recevoir ces e-mails",
    sides={"customer": "Client", "seller": "Vendeur", "shop": "Boutique"},
    reasons={
        "not_received": "Non reçu",
        "not_as_described": "Non conforme à la description",
        "damaged": "Endommagé",
        "wrong_item": "Mauvais article",
        "refund_missing": "Remboursement manquant",
        "other": "Autre",
    },
    outcomes={
        "resolved": "Résolu",
        "refunded": "Remboursé",
        "replaced": "Remplacé",
        "withdrawn": "Retiré",
        "rejected": "Rejeté",
    },
    colon="\u00a0:",
)

ITALIAN: Final = Phrases(
    your_order="il suo ordine {order}",
    the_order="l’ordine {order}",
    subject="Messaggi riguardanti {about}",
    headline_one="Nuovo messaggio: {about}",
    headline_many="{count} nuovi messaggi: {about}",
    headline_opened="Contestazione aperta: {about}",
    headline_closed="Contestazione chiusa: {about}",
    no_reply="Non risponda a questa e-mail: le risposte non vengono lette. Per rispondere, apra la conversazione.",
    greeting="Buongiorno {name},",
    intro_one="c’è una novità nella conversazione che riguarda {about}.",
    intro_many="ci sono {count} novità nella conversazione che riguarda {about}.",
    opened="Contestazione aperta",
    closed="Contestazione chiusa",
    reason="Motivo",
    outcome="Esito",
    redacted="Questo testo è stato rimosso.",
    more_entries_one="e un’altra novità",
    more_entries_many="e altre {count} novità",
    read_rest="Leggere il resto nella conversazione",
    button="Apri la conversazione",
    order_heading="Ordine {order}",
    more_items="e altri {count}",
    price_each="{price} l’uno",
    total="Totale",
    see_order="Vedi l’ordine",
    why="Riceve questa e-mail perché partecipa alla conversazione su questo ordine.",
    unsubscribe="Non ricevere più queste e-mail",
    sides={"customer": "Cliente", "seller": "Venditore", "shop": "Negozio"},
    reasons={
        "not_received": "Non ricevuto",
        "not_as_described": "Non conforme alla descrizione",
        "damaged": "Danneggiato",
        "wrong_item": "Articolo sbagliato",
        "refund_missing": "Rimborso mancante",
        "other": "Altro",
    },
    outcomes={
        "resolved": "Risolta",
        "refunded": "Rimborsata",
        "replaced": "Articolo sostituito",
        "withdrawn": "Ritirata",
        "rejected": "Respinta",
    },
)

DUTCH: Final = Phrases(
    your_order="uw bestelling {order}",
    the_order="bestelling {order}",
    subject="Berichten over {about}",
    headline_one="Nieuw bericht over {about}",
    headline_many="{count} nieuwe berichten over {about}",
    headline_opened="Er is een geschil geopend over {about}",
    headline_closed="Het geschil over {about} is gesloten",
    no_reply="Beantwoord deze e-mail niet: antwoorden worden niet gelezen. Open het gesprek om te antwoorden.",
    greeting="Hallo {name},",
    intro_one="Er is iets nieuws in het gesprek over {about}.",
    intro_many="Er zijn {count} nieuwe bijdragen in het gesprek over {about}.",
    opened="Geschil geopend",
    closed="Geschil gesloten",
    reason="Reden",
    outcome="Uitkomst",
    redacted="Deze tekst is verwijderd.",
    more_entries_one="en nog een bijdrage",
    more_entries_many="en nog {count} bijdragen",
    read_rest="Lees de rest in het gesprek",
    button="Gesprek openen",
    order_heading="Bestelling {order}",
    more_items="en nog {count}",
    price_each="{price} per stuk",
    total="Totaal",
    see_order="Bestelling bekijken",
    why="U ontvangt deze e-mail omdat u deelneemt aan het gesprek over deze bestelling.",
    unsubscribe="Deze e-mails niet meer ontvangen",
    sides={"customer": "Klant", "seller": "Verkoper", "shop": "Winkel"},
    reasons={
        "not_received": "Niet ontvangen",
        "not_as_described": "Niet zoals beschreven",
        "damaged": "Beschadigd",
        "wrong_item": "Verkeerd artikel",
        "refund_missing": "Terugbetaling ontbreekt",
        "other": "Anders",
    },
    outcomes={
        "resolved": "Opgelost",
        "refunded": "Terugbetaald",
        "replaced": "Vervangen",
        "withdrawn": "Ingetrokken",
        "rejected": "Afgewezen",
    },
)

LANGUAGES: Final[Mapping[str, Phrases]] = {
    "en": ENGLISH,
    "de": GERMAN,
    "es": SPANISH,
    "fr": FRENCH,
    "it": ITALIAN,
    "nl": DUTCH,
}


def language_of(locale: str) -> str:
    """The language of a locale such as `de-AT`, or English where it is not among ours."""
    language = locale.replace("_", "-").split("-")[0].lower()
    return language if language in LANGUAGES else FALLBACK
