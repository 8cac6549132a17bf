//! Japanese.

use transcript::mail::Labels;
use transcript::texts::Sentences;

use super::Texts;

/// The texts.
pub(super) const TEXTS: Texts = Texts {
    code: "ja",
    default_subject: "{} から選ばれたメッセージ",
    messages_title: "{} のメッセージ",
    sent_by_user: "{} さんからこれらのメッセージが届きました。",
    colon: "：",
    full_stop: "。",
    facts_messages: "メッセージ",
    facts_times: "時刻",
    some_too_large: "このメールには大きすぎるファイルは、名前のみ記載し、添付していません。",
    zip_attached: "すべてのファイルを含む全体を {} として添付しました。",
    zip_too_large: "すべてのファイルを含むエクスポート（{}）は、このメールには大きすぎます。",
    room: "ルーム",
    time: "期間",
    from_to: "{} から {} まで",
    beginning: "最初",
    format: "形式",
    messages: "メッセージ",
    files: "ファイル",
    files_missing: "{} 件が見つかりません（理由は manifest.json に記載）",
    incomplete: "不完全",
    kept_until: "保存期限",
    ready_subject: "{} のエクスポートが完了しました",
    ready_title: "{} のエクスポートが完了しました",
    download: "ZIP をダウンロード（{}）",
    link_note: "このリンクは、ログイン後、ご本人のみが利用できます：",
    failed_subject: "{} のエクスポートに失敗しました",
    failed_title: "{} のエクスポートに失敗しました",
    failed_reason: "理由",
    failed_again: "何も保存されていません。もう一度エクスポートを依頼できます。",
    failures: &[
        (
            "not-allowed",
            "このルームをエクスポートする権限がなくなりました。権限があるはずの場合は管理者にお問い合わせください。",
        ),
        ("room-gone", "ルームはもう存在しません。"),
        (
            "no-space",
            "このエクスポートのための空き容量がサーバーにありません。管理者に連絡してください。",
        ),
        (
            "store-unwritable",
            "エクスポートをサーバーに保存できませんでした。繰り返す場合は管理者に連絡してください。",
        ),
        (
            "workspace-damaged",
            "サーバー上のこのルームのデータが破損しています。管理者に連絡してください。",
        ),
        (
            "workspace-unreadable",
            "ルームを読み取れませんでした。繰り返す場合は管理者に連絡してください。",
        ),
        (
            "interrupted",
            "処理が何度も中断されたため、中止されました。",
        ),
        (
            "internal",
            "サーバーで問題が発生しました。繰り返す場合は管理者に連絡してください。",
        ),
    ],
    sent_by: "{} のために Export Room から送信されました",
    labels: Labels {
        edited: "編集済み",
        deleted: "削除済み",
        pinned: "ピン留め",
        bot: "ボット",
        imported: "インポート済み",
        private: "一人だけに表示",
        unknown_author: "不明な送信者",
        no_time: "時刻なし",
        reply: "{} さんのスレッドへの返信：{}",
        reply_elsewhere: "最初のメッセージがここにないスレッドへの返信",
        encrypted: "エンドツーエンド暗号化：参加者の鍵がなければ読めません。",
        discussion: "ディスカッション",
        nested_too_deep: "これより深い引用は表示されません。",
        location: "場所：緯度 {}、経度 {}",
        thread: "スレッドの返信：{}",
        discussion_of: "ディスカッションのメッセージ：{}",
        earlier: "以前の版：",
        attached: "添付",
        too_large: "メールには大きすぎるため添付なし",
        not_attached: "添付なし",
        missing: "見つかりません：{}",
        sentences: &Sentences::JAPANESE,
    },
};
