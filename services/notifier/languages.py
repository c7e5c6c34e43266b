"""What the mails say, in every language that they can say it in: pure data. English stands in for a language that is not here."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from shared.fields import DisputeOutcome, DisputeReason, Side

FALLBACK: Final = "en"


@dataclass(frozen=True, slots=True)
class Phrases:
    """One language. Names in braces are filled in; `your_order` is said to the customer, `the_order` to everybody else."""

    your_order: str
    the_order: str
    subject_one: str
    subject_many: str
    subject_opened: str
    subject_closed: str
    no_reply: str
    greeting: str
    intro_one: str
    intro_many: str
    opened: str
    closed: str
    reason: str
    outcome: str
    redacted: str
    button: str
    order_heading: str
    more_items: str
    total: str
    see_order: str
    why: str
    unsubscribe: str
    sides: Mapping[Side, str]
    reasons: Mapping[DisputeReason, str]
    outcomes: Mapping[DisputeOutcome, str]


ENGLISH: Final = Phrases(
    your_order="your order {order}",
    the_order="order {order}",
    subject_one="New message about {about}",
    subject_many="{count} new messages about {about}",
    subject_opened="A dispute was opened about {about}",
    subject_closed="The dispute about {about} was closed",
    no_reply="Please do not reply to this e-mail: replies are not read. To answer, open the conversation.",
    greeting="Hello {name},",
    intro_one="there is something new in the conversation about {about}.",
    intro_many="there are {count} new entries in the conversation about {about}.",
    opened="Dispute opened",
    closed="Dispute closed",
    reason="Reason",
    outcome="Outcome",
    redacted="This text was removed.",
    button="Open the conversation",
    order_heading="Order {order}",
    more_items="and {count} more",
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
    subject_one="Neue Nachricht zu {about}",
    subject_many="{count} neue Nachrichten zu {about}",
    subject_opened="Konfliktfall eröffnet zu {about}",
    subject_closed="Konfliktfall geschlossen zu {about}",
    no_reply="Bitte antworten Sie nicht auf diese E-Mail: Antworten werden nicht gelesen. Öffnen Sie dazu die Unterhaltung.",
    greeting="Guten Tag {name},",
    intro_one="in der Unterhaltung zu {about} gibt es etwas Neues.",
    intro_many="in der Unterhaltung zu {about} gibt es {count} neue Einträge.",
    opened="Konfliktfall eröffnet",
    closed="Konfliktfall geschlossen",
    reason="Grund",
    outcome="Ergebnis",
    redacted="Dieser Text wurde entfernt.",
    button="Unterhaltung öffnen",
    order_heading="Bestellung {order}",
    more_items="und {count} weitere",
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
    subject_one="Nuevo mensaje sobre {about}",
    subject_many="{count} mensajes nuevos sobre {about}",
    subject_opened="Se ha abierto una disputa sobre {about}",
    subject_closed="Se ha cerrado la disputa sobre {about}",
    no_reply="No responda a este correo: las respuestas no se leen. Para contestar, abra la conversación.",
    greeting="Hola, {name}:",
    intro_one="Hay una novedad en la conversación sobre {about}.",
    intro_many="Hay {count} novedades en la conversación sobre {about}.",
    opened="Disputa abierta",
    closed="Disputa cerrada",
    reason="Motivo",
    outcome="Resultado",
    redacted="Este texto se ha eliminado.",
    button="Abrir la conversación",
    order_heading="Pedido {order}",
    more_items="y {count} más",
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
    subject_one="Nouveau message concernant {about}",
    subject_many="{count} nouveaux messages concernant {about}",
    subject_opened="Un litige a été ouvert concernant {about}",
    subject_closed="Le litige concernant {about} a été clos",
    no_reply="Merci de ne pas répondre à cet e-mail : les réponses ne sont pas lues. Pour répondre, ouvrez la conversation.",
    greeting="Bonjour {name},",
    intro_one="Il y a du nouveau dans la conversation concernant {about}.",
    intro_many="Il y a {count} nouveautés dans la conversation concernant {about}.",
    opened="Litige ouvert",
    closed="Litige clos",
    reason="Motif",
    outcome="Issue",
    redacted="Ce texte a été supprimé.",
    button="Ouvrir la conversation",
    order_heading="Commande {order}",
    more_items="et {count} de plus",
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
)

ITALIAN: Final = Phrases(
    your_order="il suo ordine {order}",
    the_order="l’ordine {order}",
    subject_one="Nuovo messaggio: {about}",
    subject_many="{count} nuovi messaggi: {about}",
    subject_opened="Contestazione aperta: {about}",
    subject_closed="Contestazione chiusa: {about}",
    no_reply="Non risponda a questa e-mail: le risposte non vengono lette. Per rispondere, apra la conversazione.",
    greeting="Buongiorno {name},",
    intro_one="c’è una novità nella conversazione che riguarda {about}.",
    intro_many="ci sono {count} novità nella conversazione che riguarda {about}.",
    opened="Contestazione aperta",
    closed="Contestazione chiusa",
    reason="Motivo",
    outcome="Esito",
    redacted="Questo testo è stato rimosso.",
    button="Apri la conversazione",
    order_heading="Ordine {order}",
    more_items="e altri {count}",
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
    subject_one="Nieuw bericht over {about}",
    subject_many="{count} nieuwe berichten over {about}",
    subject_opened="Er is een geschil geopend over {about}",
    subject_closed="Het geschil over {about} is gesloten",
    no_reply="Beantwoord deze e-mail niet: antwoorden worden niet gelezen. Open het gesprek om te antwoorden.",
    greeting="Hallo {name},",
    intro_one="er is iets nieuws in het gesprek over {about}.",
    intro_many="er zijn {count} nieuwe bijdragen in het gesprek over {about}.",
    opened="Geschil geopend",
    closed="Geschil gesloten",
    reason="Reden",
    outcome="Uitkomst",
    redacted="Deze tekst is verwijderd.",
    button="Gesprek openen",
    order_heading="Bestelling {order}",
    more_items="en nog {count}",
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
