"""What the page behind a mail's link says, in the languages of the mails: pure data."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

FALLBACK: Final = "en"


@dataclass(frozen=True, slots=True)
class Words:
    """One language. `order` in braces is the order's number, `shop` what the shop is called."""

    title: str
    ask: str
    this_order: str
    all_orders: str
    leave: str
    ended_order: str
    ended_all: str
    again: str
    undo: str
    as_before: str
    no_such_link: str
    newest_mail: str
    not_now: str
    try_later: str


WORDS: Final[Mapping[str, Words]] = {
    "en": Words(
        title="E-mails from {shop}",
        ask="Which e-mails would you no longer like to get?",
        this_order="No more about order {order}",
        all_orders="No more about any order",
        leave="To leave everything as it is, just close this page.",
        ended_order="You will get no more e-mails about order {order}.",
        ended_all="You will get no more e-mails about your orders.",
        again="You can switch them on again at any time: here, or in your e-mail settings.",
        undo="Undo",
        as_before="You get e-mails as before.",
        no_such_link="This link does not work any more",
        newest_mail="It has ended, or was not copied whole. Please take the link in the newest e-mail.",
        not_now="That did not work just now",
        try_later="Nothing was changed. Please try again in a few minutes.",
    ),
    "de": Words(
        title="E-Mails von {shop}",
        ask="Welche E-Mails möchten Sie nicht mehr erhalten?",
        this_order="Keine mehr zu Bestellung {order}",
        all_orders="Keine mehr, zu keiner Bestellung",
        leave="Soll alles bleiben, wie es ist, schließen Sie einfach diese Seite.",
        ended_order="Sie erhalten keine E-Mails zu Bestellung {order} mehr.",
        ended_all="Sie erhalten keine E-Mails zu Ihren Bestellungen mehr.",
        again="Sie können sie jederzeit wieder einschalten: hier oder in Ihren E-Mail-Einstellungen.",
        undo="Rückgängig machen",
        as_before="Sie erhalten E-Mails wie zuvor.",
        no_such_link="Dieser Link gilt nicht mehr",
        newest_mail="Er ist abgelaufen oder wurde nicht ganz kopiert. Bitte nehmen Sie den Link in der neuesten E-Mail.",
        not_now="Das hat gerade nicht geklappt",
        try_later="Es wurde nichts geändert. Bitte versuchen Sie es in einigen Minuten noch einmal.",
    ),
    "es": Words(
        title="Correos de {shop}",
        ask="¿Qué correos ya no desea recibir?",
        this_order="Ninguno más sobre el pedido {order}",
        all_orders="Ninguno más sobre ningún pedido",
        leave="Para dejarlo todo como está, cierre esta página.",
        ended_order="Ya no recibirá correos sobre el pedido {order}.",
        ended_all="Ya no recibirá correos sobre sus pedidos.",
        again="Puede volver a activarlos cuando quiera: aquí o en sus avisos por correo.",
        undo="Deshacer",
        as_before="Recibe los correos como antes.",
        no_such_link="Este enlace ya no es válido",
        newest_mail="Ha caducado o no se copió entero. Use el enlace del correo más reciente.",
        not_now="No ha funcionado en este momento",
        try_later="No se ha cambiado nada. Inténtelo de nuevo dentro de unos minutos.",
    ),
    "fr": Words(
        title="E-mails de {shop}",
        ask="Quels e-mails ne souhaitez-vous plus recevoir\u202f?",
        this_order="Plus aucun concernant la commande {order}",
        all_orders="Plus aucun, pour aucune commande",
        leave="Pour ne rien changer, fermez simplement cette page.",
        ended_order="Vous ne recevrez plus d’e-mails concernant la commande {order}.",
        ended_all="Vous ne recevrez plus d’e-mails concernant vos commandes.",
        again="Vous pouvez les réactiver à tout moment\u00a0: ici ou dans vos notifications par e-mail.",
        undo="Annuler ce choix",
        as_before="Vous recevez les e-mails comme avant.",
        no_such_link="Ce lien n’est plus valable",
        newest_mail="Il a expiré ou n’a pas été copié en entier. Prenez le lien de l’e-mail le plus récent.",
        not_now="Cela n’a pas fonctionné pour le moment",
        try_later="Rien n’a été modifié. Veuillez réessayer dans quelques minutes.",
    ),
    "it": Words(
        title="E-mail da {shop}",
        ask="Quali e-mail non desidera più ricevere?",
        this_order="Nessun’altra sull’ordine {order}",
        all_orders="Nessun’altra, su nessun ordine",
        leave="Per lasciare tutto com’è, chiuda semplicemente questa pagina.",
        ended_order="Non riceverà più e-mail sull’ordine {order}.",
        ended_all="Non riceverà più e-mail sui suoi ordini.",
        again="Può riattivarle in qualsiasi momento: qui o nelle impostazioni e-mail.",
        undo="Annulla la scelta",
        as_before="Riceve le e-mail come prima.",
        no_such_link="Questo link non è più valido",
        newest_mail="È scaduto o non è stato copiato per intero. Usi il link nell’e-mail più recente.",
        not_now="In questo momento non ha funzionato",
        try_later="Non è stato cambiato nulla. Riprovi tra qualche minuto.",
    ),
    "nl": Words(
        title="E-mails van {shop}",
        ask="Welke e-mails wilt u niet meer ontvangen?",
        this_order="Geen meer over bestelling {order}",
        all_orders="Geen meer, over geen enkele bestelling",
        leave="Wilt u alles laten zoals het is, sluit dan gewoon deze pagina.",
        ended_order="U ontvangt geen e-mails meer over bestelling {order}.",
        ended_all="U ontvangt geen e-mails meer over uw bestellingen.",
        again="U kunt ze op elk moment weer aanzetten: hier of in uw e-mailinstellingen.",
        undo="Ongedaan maken",
        as_before="U ontvangt e-mails zoals voorheen.",
        no_such_link="Deze link is niet meer geldig",
        newest_mail="Hij is verlopen of niet helemaal gekopieerd. Gebruik de link in de nieuwste e-mail.",
        not_now="Dat lukte zojuist niet",
        try_later="Er is niets gewijzigd. Probeer het over enkele minuten opnieuw.",
    ),
}


def language_for(link: str | None, accepted: str) -> str:
    """The mail's language, which its link names, else the first of those that the browser accepts (RFC 9110, 12.5.4) that is ours."""
    wanted = [link or "", *(each.partition(";")[0] for each in accepted.split(","))]
    found = (tag.strip().lower().replace("_", "-").partition("-")[0] for tag in wanted)
    return next((language for language in found if language in WORDS), FALLBACK)
