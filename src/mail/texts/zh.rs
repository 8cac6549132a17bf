//! Chinese.

use transcript::mail::Labels;
use transcript::texts::Sentences;

use super::Texts;

/// The texts.
pub(super) const TEXTS: Texts = Texts {
    code: "zh",
    default_subject: "{} 的部分消息",
    messages_title: "来自 {} 的消息",
    sent_by_user: "{} 向您发送了这些消息。",
    colon: "：",
    full_stop: "。",
    facts_messages: "消息",
    facts_times: "时间",
    some_too_large: "对本邮件过大的文件只列出名称，未作为附件。",
    zip_attached: "包含所有文件的完整导出已作为 {} 附上。",
    zip_too_large: "包含所有文件的导出（{}）对本邮件过大。",
    room: "聊天室",
    time: "时间范围",
    from_to: "从 {} 到 {}",
    beginning: "最早",
    format: "格式",
    messages: "消息",
    files: "文件",
    files_missing: "缺少 {} 个，原因见 manifest.json",
    incomplete: "不完整",
    kept_until: "保留至",
    ready_subject: "{} 的导出已完成",
    ready_title: "您对 {} 的导出已完成",
    download: "下载 ZIP（{}）",
    link_note: "此链接仅供您本人登录后使用：",
    failed_subject: "{} 的导出失败",
    failed_title: "您对 {} 的导出失败",
    failed_reason: "原因",
    failed_again: "没有保留任何内容。您可以再次请求导出。",
    failures: &[
        (
            "not-allowed",
            "您已无权导出此聊天室。如认为有误，请联系管理员。",
        ),
        ("room-gone", "该聊天室已不存在。"),
        (
            "no-space",
            "服务器空间不足，无法完成此导出。请联系管理员释放空间。",
        ),
        (
            "store-unwritable",
            "导出无法保存到服务器。如再次发生，请联系管理员。",
        ),
        (
            "workspace-damaged",
            "服务器上此聊天室的数据已损坏。请联系管理员。",
        ),
        (
            "workspace-unreadable",
            "无法读取该聊天室。如再次发生，请联系管理员。",
        ),
        ("interrupted", "处理被反复中断，因此已放弃。"),
        ("internal", "服务器出现问题。如再次发生，请联系管理员。"),
    ],
    sent_by: "由 Export Room 为 {} 发送",
    labels: Labels {
        edited: "已编辑",
        deleted: "已删除",
        pinned: "已置顶",
        bot: "机器人",
        imported: "已导入",
        private: "仅一人可见",
        unknown_author: "未知作者",
        no_time: "无时间",
        reply: "回复 {} 的话题：{}",
        reply_elsewhere: "所回复的话题的首条消息不在此处",
        encrypted: "端到端加密：只有参与者的密钥才能阅读。",
        discussion: "讨论",
        nested_too_deep: "更深的引用未显示。",
        location: "位置：纬度 {}，经度 {}",
        thread: "话题回复数：{}",
        discussion_of: "讨论消息数：{}",
        earlier: "早期版本：",
        attached: "已附上",
        too_large: "对邮件过大，未附上",
        not_attached: "未附上",
        missing: "缺失：{}",
        sentences: &Sentences::CHINESE,
    },
};
